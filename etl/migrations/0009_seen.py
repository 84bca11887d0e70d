import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.manager
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from warehouse import conf

TASK = "etl.watch_pipelines"
EVERY_S = 10


def watch(apps, schema_editor):
    """Pipelines are watched wherever beat runs."""
    schedule, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=EVERY_S, period="seconds"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="watch pipelines", defaults={"task": TASK, "interval": schedule}
    )


def unwatch(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(task=TASK).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("etl", "0008_pace"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(conf.TEAM_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertChannel",
            fields=[
                ("encrypted_credentials", models.TextField(editable=False)),
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("webhook", "Webhook"), ("email", "Email")], max_length=10
                    ),
                ),
                (
                    "target",
                    models.CharField(
                        help_text="Where it points, without any secret.", max_length=500
                    ),
                ),
                ("events", models.JSONField(default=list)),
                ("every_pipeline", models.BooleanField(default=True)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "default_manager_name": "all_teams",
            },
            managers=[
                ("all_teams", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="AlertDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("failed", "Failed"),
                            ("stale", "Stale"),
                            ("drift", "Drift"),
                            ("quarantine", "Quarantine"),
                            ("recovered", "Recovered"),
                        ],
                        max_length=10,
                    ),
                ),
                ("content", models.JSONField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_try_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("error_code", models.CharField(blank=True, max_length=50)),
                ("error", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("delivered_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-created_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("failed", "Failed"),
                            ("stale", "Stale"),
                            ("drift", "Drift"),
                            ("quarantine", "Quarantine"),
                            ("recovered", "Recovered"),
                        ],
                        max_length=10,
                    ),
                ),
                ("about", models.JSONField(default=list)),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-opened_at", "id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="pipelinerun",
            name="one_open_run_per_pipeline",
        ),
        migrations.AddField(
            model_name="pipeline",
            name="stale_after_minutes",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="When what a target has is older than that, the pipeline is stale; empty: never.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(527040),
                ],
            ),
        ),
        migrations.AddField(
            model_name="pipelinerun",
            name="attempts_before",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="pipelinerun",
            name="is_judged",
            # Nobody is told now of runs that ended before there were alerts.
            field=models.BooleanField(default=True, editable=False),
        ),
        migrations.AlterField(
            model_name="pipelinerun",
            name="is_judged",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name="pipelinerun",
            name="is_refresh",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="pipelinerun",
            name="is_void",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="pipelinetable",
            name="as_of",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="tablerun",
            name="as_of",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tablerun",
            name="cost",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tablerun",
            name="extract_s",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tablerun",
            name="load_s",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="pipelinerun",
            name="status",
            field=models.CharField(
                choices=[
                    ("queued", "Queued"),
                    ("running", "Running"),
                    ("paused", "Paused"),
                    ("succeeded", "Succeeded"),
                    ("failed", "Failed"),
                ],
                default="queued",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="pipelinerun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("queued", "running", "paused"))),
                fields=("pipeline",),
                name="one_open_run_per_pipeline",
            ),
        ),
        migrations.AddField(
            model_name="alertchannel",
            name="created_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="alertchannel",
            name="pipelines",
            field=models.ManyToManyField(blank=True, related_name="+", to="etl.pipeline"),
        ),
        migrations.AddField(
            model_name="alertchannel",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=conf.TEAM_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="alertdelivery",
            name="channel",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="etl.alertchannel",
            ),
        ),
        migrations.AddField(
            model_name="alertdelivery",
            name="pipeline",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="etl.pipeline"
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="pipeline",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="incidents",
                to="etl.pipeline",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertchannel",
            constraint=models.UniqueConstraint(
                fields=("team", "name"), name="alert_channel_name_in_team"
            ),
        ),
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("pipeline", "event"),
                name="one_open_incident_of_a_kind",
            ),
        ),
        migrations.RunPython(watch, unwatch),
    ]
