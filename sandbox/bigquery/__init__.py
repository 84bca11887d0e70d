"""The BigQuery stand-in: Google's REST and Storage Read interfaces in front of bqemulator.

It runs under an interpreter of its own (bqemulator pins other versions than the service), so
nothing here is imported by the service, and nothing here imports the service.
"""
