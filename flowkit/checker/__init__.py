"""Resolve every path of every template and expression against declared types. Silent where it cannot know."""
