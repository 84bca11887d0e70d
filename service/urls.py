"""Routes of the stand-alone service."""

from django.contrib import admin
from django.urls import include, path

from service.health import alive, ready
from service.metrics import scrape

handler400 = "api.problems.bad_request"
handler404 = "api.problems.not_found"
handler500 = "api.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("api.urls")),
    path("health/alive", alive),
    path("health/ready", ready),
    path("metrics", scrape),
]
