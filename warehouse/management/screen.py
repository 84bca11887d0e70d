"""What commands put on a screen."""


def unmarked(text: str) -> str:
    """Values and names are anybody's text: no markup, and nothing that a terminal would act on."""
    printable = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return printable.replace("[", r"\[")
