"""The python3 runtime's entry: what runs as `python3 -I -S /magpie/python/shim.py` in a sandbox; with
the word `parked` behind it where the sandbox has no function yet.

It is this short because a script is compiled at every start; the package beside it is compiled
when magpie is built, and the rarer half of that only loaded when it is needed.
"""

if __name__ == "__main__":  # multiprocessing's "spawn" imports this file again in its children
    import sys

    here = __file__.rpartition("/")[0] or "."
    sys.path.insert(0, here)
    if sys.argv[1:] == ["parked"]:
        from magpie_shim import parking, worker

        worker.prepare()
        parking.wait()
    else:
        from magpie_shim import worker

        worker.prepare()
    sys.path.remove(here)  # user code sees its own bundle and the standard library, nothing else
    worker.main()
