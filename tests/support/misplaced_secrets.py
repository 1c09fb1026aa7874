"""Secrets where somebody may put them by mistake, each with the part that nobody may read."""

TOKEN = "Zk3w9XqLr8Tn5vB2mYp7Qd4Hs6Jc1Gf0Ka-_eRuWi"
# As `openssl rand -base64 16` makes them.
BASE64 = "pZ7/kQ2vW9xT4bN8/mL3yA=="
_LINES = "hunter2\n" * 60

MISPLACED = {
    "http://me:hunter2@host:80/x": "hunter2",
    "me:hunter2@host:50050": "hunter2",
    "tcp://me:hunter2@host:50050": "hunter2",
    "/me:hunter2@host": "hunter2",
    "http://host/x?auth=hunter2": "hunter2",
    "http://host/x#auth=hunter2": "hunter2",
    "Bearer hunter2": "hunter2",
    "api-key=hunter2": "hunter2",
    '{"auths": {"registry": {"auth": "hunter2"}}}': "hunter2",
    f"-----BEGIN PRIVATE KEY-----\n{_LINES}-----END PRIVATE KEY-----\n": "hunter2",
    TOKEN: TOKEN,
    f"/{TOKEN}": TOKEN,
    BASE64: BASE64,
    f"/{BASE64}": BASE64,
    BASE64.rstrip("="): BASE64.rstrip("="),
    "kZqtr/tBvmpwxcXCDrldg1==": "kZqtr",
    f"http://hooks.example/{TOKEN}/": TOKEN,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiYWNrZW5kIn0.c2lnbmVkIGJ5IG5vYm9keSBhdCBhbGw": "eyJhbGci",
    "5f1d3c7a9e0b2846fa7c31d09be8425671c0a9d3e4f8b2651a7d0c9e3b48f6a2": "5f1d3c7a",
}
