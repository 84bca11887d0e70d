"""Routes of the API; a host project includes them where it likes."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from api.alerts import AlertChannelViewSet
from api.catalog import CatalogViewSet
from api.connection import WarehouseConnectionViewSet
from api.event import EventViewSet
from api.pipeline import PipelineViewSet
from api.provider import ProviderViewSet
from api.query import QueryViewSet
from api.synced import SyncedTableViewSet
from api.table_join import TableJoinViewSet
from api.table_mode import TableModeViewSet
from api.view import ViewViewSet

router = SimpleRouter(use_regex_path=False)
router.register(
    "warehouse_connections", WarehouseConnectionViewSet, basename="warehouse-connection"
)
router.register(
    "warehouse_connections/<uuid:connection_id>/synced_tables",
    SyncedTableViewSet,
    basename="synced-table",
)
router.register(
    "warehouse_connections/<uuid:connection_id>/table_modes",
    TableModeViewSet,
    basename="table-mode",
)
router.register("warehouse_providers", ProviderViewSet, basename="warehouse-provider")
router.register("pipelines", PipelineViewSet, basename="pipeline")
router.register("alert_channels", AlertChannelViewSet, basename="alert-channel")
router.register("events", EventViewSet, basename="event")
router.register("catalog", CatalogViewSet, basename="catalog")
router.register("table_joins", TableJoinViewSet, basename="table-join")
router.register("queries", QueryViewSet, basename="query")
router.register("views", ViewViewSet, basename="view")

urlpatterns = [
    path("environments/<str:team_id>/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(), name="openapi"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
]
