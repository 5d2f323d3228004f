"""Who makes a request: device, session and customer, read from cookies and tokens. Pure."""
