"""One file a provider. The name of the file is the name of the provider."""
