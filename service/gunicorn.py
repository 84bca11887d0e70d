"""How gunicorn serves the service. Threads: a streamed result holds one while it is read."""

import os

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8
worker_class = "gthread"
timeout = 120
graceful_timeout = 30
keepalive = 5
accesslog = None
control_socket_disable = True
