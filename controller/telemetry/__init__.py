"""What can be measured of a running loop from outside: metrics, as Prometheus reads them."""
