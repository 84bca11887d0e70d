from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warehouse", "0010_table_join"),
    ]

    operations = [
        # What is there in the clear goes: such an answer is not fetched anew by itself.
        migrations.RemoveField(model_name="cachedresult", name="inputs"),
        migrations.AddField(
            model_name="cachedresult",
            name="sealed_inputs",
            field=models.TextField(
                blank=True,
                editable=False,
                help_text="The rest of what was asked, encrypted; empty where nobody will ask it "
                "again.",
            ),
        ),
    ]
