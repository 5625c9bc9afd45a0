"""Recipients who have only an X.509 certificate: the certificate, and CMS messages to it (RFC 5652)."""
