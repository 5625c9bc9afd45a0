"""What holds or uses a private key: opening, signing, custody. The portal may not import this package."""
