#!/usr/bin/env python
"""Commands of the service; `manage.py help` lists them."""

import os
import sys

NEEDS_NO_SERVICE = {"run", "sandbox"}
"""Commands that come before there is a database to configure."""


def main() -> None:
    if sys.argv[1:2] and sys.argv[1] in NEEDS_NO_SERVICE:
        os.environ["DJANGO_SETTINGS_MODULE"] = "service.bare_settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "service.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings.INSTALLED_APPS  # noqa: B018 a bad setting is told before Django guesses around it
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
