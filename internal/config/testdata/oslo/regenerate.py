#!/usr/bin/python3
"""Writes what the real oslo.config reads from each *.conf here to *.json.

The answers beside it are of oslo.config 9.0.0 (Debian 12: python3-oslo.config).
A JSON file holds either {"error": LINE} or, by section and option, the values
as assigned (last one last), and under "expanded" what the options of "opts" come to.
"""
import glob, json, re
from oslo_config import cfg

OPTS = {None: ["a", "b", "c"], "group": ["a", "d"]}

for path in sorted(glob.glob("*.conf")):
    sections, normalized = {}, {}
    parser = cfg.ConfigParser(path, sections)
    parser._add_normalized(normalized)
    try:
        parser.parse()
    except cfg.ParseError as e:
        answer = {"error": int(re.search(r":(\d+)", str(e)).group(1))}
    else:
        conf = cfg.ConfigOpts()
        for group, names in OPTS.items():
            conf.register_opts([cfg.StrOpt(n) for n in names], group=group)
        conf(args=[], default_config_files=[path], default_config_dirs=[])
        expanded = {}
        for group, names in OPTS.items():
            for n in names:
                try:
                    v = conf[n] if group is None else conf[group][n]
                except cfg.TemplateSubstitutionError:
                    v = None
                except Exception as e:
                    v = {"error": type(e).__name__}
                if v is not None:
                    expanded[(group or "DEFAULT") + "." + n] = v
        answer = {"sections": sections, "expanded": expanded}
    with open(path[:-5] + ".json", "w") as f:
        json.dump(answer, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")
