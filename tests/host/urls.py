"""The host mounts the API where it likes."""

from django.urls import include, path

urlpatterns = [path("data/", include("api.urls"))]
