"""The console command ``s3sb``: one module per subcommand, which imports what is slow to import only when it runs."""
