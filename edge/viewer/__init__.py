"""The live page: a small server that relays what devices publish to browsers. It only listens; nothing imports it."""
