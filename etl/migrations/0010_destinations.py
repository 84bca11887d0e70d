from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("etl", "0009_seen"),
    ]
    operations = [
        migrations.AlterField(
            model_name="pipeline",
            name="stage",
            field=models.CharField(
                blank=True,
                help_text="How the destination reaches the bucket of the staged files: the name of an external stage in destination_schema (Snowflake), the ARN of an IAM role (Redshift), or nothing.",
                max_length=255,
            ),
        ),
    ]
