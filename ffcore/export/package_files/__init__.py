"""Files that go into a package as they are."""
