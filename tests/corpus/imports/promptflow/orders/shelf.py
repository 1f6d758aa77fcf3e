SHELF = "third"
