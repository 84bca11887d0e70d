from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warehouse", "0015_view_target"),
    ]

    operations = [
        # Those that wait at this moment begin in the order in which workers take them.
        migrations.RemoveField(model_name="viewrefresh", name="follows"),
        migrations.AddField(
            model_name="viewrefresh",
            name="follows",
            field=models.ManyToManyField(related_name="next", to="warehouse.viewrefresh"),
        ),
    ]
