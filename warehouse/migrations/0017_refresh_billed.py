from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warehouse", "0016_refresh_follows_several"),
    ]

    operations = [
        migrations.AddField(
            model_name="viewrefresh",
            name="amount_billed",
            field=models.DecimalField(decimal_places=6, max_digits=20, null=True),
        ),
        migrations.AddField(
            model_name="viewrefresh",
            name="billed_in",
            field=models.CharField(blank=True, max_length=3),
        ),
    ]
