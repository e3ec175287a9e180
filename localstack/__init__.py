"""The whole product on one machine. `python3 -m localstack --help` lists what it can do."""
