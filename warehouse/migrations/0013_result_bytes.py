from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warehouse", "0012_amount_billed"),
    ]

    operations = [
        migrations.AddField(
            model_name="queryrun",
            name="result_bytes",
            field=models.BigIntegerField(null=True),
        ),
    ]
