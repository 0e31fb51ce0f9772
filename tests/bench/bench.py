"""./dev bench [NAME] [OPTION...]: without a name, what can be measured."""
import importlib
import pathlib
import sys

NAMES = ("warm", "cold", "density", "burst", "soak", "leaks", "images", "trace", "shim_rate", "lab",
         "extreme", "overload", "ramp", "fair", "hostile")


def main():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    name = sys.argv[1] if len(sys.argv) > 1 else None
    if name not in NAMES:
        print("./dev bench NAME [OPTION...]")
        for known in NAMES:
            about = importlib.import_module(known).__doc__.splitlines()[0]
            print(f"  {known:9} {about}")
        return 0 if name is None else 2
    sys.argv[1:2] = []
    return importlib.import_module(name).main()


if __name__ == "__main__":
    sys.exit(main())
