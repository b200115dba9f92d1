"""What is answered at the control socket: documents, requests and changes. All of it is pure."""
