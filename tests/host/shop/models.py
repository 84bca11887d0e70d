"""The host's own tenants: companies with numbers for ids, and names in addresses."""

from django.conf import settings
from django.db import models


class Company(models.Model):
    slug = models.SlugField(unique=True)
    owners = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="owned")
    staff = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="employers")

    class Meta:
        app_label = "shop"

    def __str__(self) -> str:
        return self.slug
