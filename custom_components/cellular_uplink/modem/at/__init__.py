"""The AT protocol: a sans-IO codec, the actor that owns a channel, commands and their encoding."""
