"""What a run is: one YAML file or command line, checked, with every option resolved."""
