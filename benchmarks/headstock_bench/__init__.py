"""The benchmark harness: recipes times seeds, each in a process of its own, results kept and resumed."""
