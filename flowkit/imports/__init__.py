"""Turn prompts of other tools into flows: one module for each tool, all of which give a `Draft` that `layout` writes down.

The contract: `read(path, …) -> Draft` reads the files of the other tool and nothing else, calls nothing, and raises `Unreadable` where
there is nothing to convert. What could not be converted stands in the draft's report, with the line it stands in.
"""
