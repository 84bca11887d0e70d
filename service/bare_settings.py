"""Settings of the commands that start a sandbox: there is no database yet."""

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SANDBOX_HOME = Path(os.environ.get("SANDBOX_HOME", BASE_DIR / ".sandbox"))
SECRET_KEY = secrets.token_urlsafe(32)
INSTALLED_APPS = ["service"]
USE_TZ = True
