"""From a round's replies to one change: checked updates, their sum, its noise."""
