"""Ways out, each an httpx transport over something the modem offers."""
