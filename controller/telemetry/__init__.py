"""What people who run it read besides the status: metrics, as Prometheus reads them, and the log of the operator."""
