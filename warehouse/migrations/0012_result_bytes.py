from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warehouse", "0011_sealed_inputs"),
    ]

    operations = [
        migrations.AddField(
            model_name="queryrun",
            name="result_bytes",
            field=models.BigIntegerField(null=True),
        ),
    ]
