from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("etl", "0003_chunks"),
    ]
    operations = [
        migrations.AddField(
            model_name="pipeline",
            name="contract",
            field=models.CharField(
                choices=[("evolve", "evolve"), ("freeze", "freeze"), ("quarantine", "quarantine")],
                default="evolve",
                help_text="Where columns differ: evolve alters the target, freeze stops, quarantine goes on with the columns that both have.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="tablerun",
            name="drift",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
