"""One query over several systems: what each of them is asked, and what the store makes of it."""
