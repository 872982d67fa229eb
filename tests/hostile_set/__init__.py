"""What strangers may send that has to be survived, built in code: files, and what may become of them."""
