"""The playbook as people edit it: read from its CSV files, judged without a warehouse."""
