# SPDX-License-Identifier: Apache-2.0
"""Figures of a run as a table with the targets beside them, and as JSON."""

import datetime
import json
import os
import platform
import subprocess

import contest as c

# metric -> (heading, format)
METRICS = {
    "gbit_s": ("Gbit/s", "{:.2f}"),
    "cpu_s_per_gb": ("CPU s/GB, both ends", "{:.2f}"),
    "kpps": ("1000 packets/s under 1 % loss", "{:.1f}"),
    "cpu_us_per_packet": ("CPU µs/packet at that rate", "{:.2f}"),
    "cpu_us_at_40k": ("CPU µs/packet at 40 000/s", "{:.2f}"),
    "p50_us": ("round trip p50, µs", "{:.1f}"),
    "p99_us": ("round trip p99, µs", "{:.1f}"),
    "lost": ("pings lost", "{:.0f}"),
    "resident_idle_mb": ("resident, idle, MB", "{:.1f}"),
    "resident_mb": ("resident, greatest, MB", "{:.1f}"),
    "resident_growth_mb": ("growth in the last two thirds, MB", "{:.2f}"),
    "resident_after_mb": ("resident after wg setconf, MB", "{:.1f}"),
    "peers": ("peers", "{:.0f}"),
    "set_s": ("set all, s", "{:.3f}"),
    "get_s": ("get all, s", "{:.3f}"),
    "setconf_s": ("wg setconf, s", "{:.3f}"),
    "dump_s": ("wg show dump, s", "{:.3f}"),
    "hs_per_s": ("handshakes answered per s", "{:.0f}"),
    "hs_per_core_s": ("answered per core-second", "{:.0f}"),
    "hs_offered_3x": ("overload: offered per s", "{:.0f}"),
    "hs_per_s_3x": ("overload: answered per s", "{:.0f}"),
    "hs_per_core_s_3x": ("overload: answered per core-second", "{:.0f}"),
    "hs_3x_ratio": ("overload ÷ not, per core-second", "{:.2f}"),
    "flood_per_s": ("initiations per s in the flood", "{:.0f}"),
    "paced_mbit": ("paced flow, Mbit/s offered", "{:.0f}"),
    "loss_calm_pct": ("loss before the flood, %", "{:.3f}"),
    "loss_pct": ("loss in the flood, %", "{:.3f}"),
    "cookies_per_s": ("cookie replies per s", "{:.0f}"),
    "unread_pct": ("of the flood never read (socket full), %", "{:.1f}"),
    "newcomer_s": ("a new peer connects after, s", "{:.2f}"),
    "newcomer_worst_s": ("the last of four new peers after, s", "{:.2f}"),
    "foreign_cpu": ("share of the machine others used", "{:.0%}"),
}

ALONE = "nothing"  # a figure that is judged by itself
BETTER = ("wireguard-go", "wireguard-go-current")

# row, metric, against (a name, several: the best of them, None: a figure by itself), direction,
# must, aim. In tcp-peers the contender judged is the crowded one.
TARGETS = [
    ("tcp", "gbit_s", (c.RAW,), ">=", 0.27, 0.40),
    ("tcp", "gbit_s", ("wireguard-go",), ">=", 8, 12),
    ("tcp", "gbit_s", ("wireguard-go-current",), ">=", 1.5, 2.5),
    ("tcp", "cpu_s_per_gb", ("wireguard-go-current",), "<=", 0.6, 0.4),
    ("udp", "kpps", BETTER, ">=", 1.5, 2.5),
    ("udp", "cpu_us_at_40k", BETTER, "<=", 0.4, None),
    ("udp-large", "kpps", BETTER, ">=", 1.5, 2.5),
    ("rtt", "p50_us", BETTER, "<=", 0.6, 0.4),
    ("memory", "resident_mb", None, "<=", 24, 16),
    ("peers", "set_s", None, "<=", 2, 1),
    ("peers", "get_s", None, "<=", 0.5, 0.3),
    ("peers", "resident_mb", None, "<=", 300, 150),
    ("tcp-peers", "cpu_s_per_gb", ("culvert",), "<=", 1.05, 1.0),
    ("framing-3.1", "cpu_s_per_gb", ("culvert",), "<=", 1.10, 1.05),
    ("framing-medium", "cpu_s_per_gb", ("culvert",), "<=", 1.10, 1.05),
    ("framing-high", "cpu_s_per_gb", ("culvert",), "<=", 1.10, 1.05),
    ("framing-3.1", "gbit_s", ("amneziawg-go-current 3.1",), ">=", 3, 5),
    ("framing-3.1", "gbit_s", ("awg-peer 3.1",), ">=", 1.5, 2.5),
    ("framing-3.1", "cpu_s_per_gb", ("awg-peer 3.1",), "<=", 0.6, 0.4),
    ("handshake", "hs_per_core_s", None, ">=", 5500, 7500),
    ("handshake", "hs_3x_ratio", None, ">=", 0.8, 0.95),
    ("flood", "loss_pct", None, "<=", 1, None),
    ("flood", "newcomer_worst_s", None, "<=", 10, None),
    ("flood", "resident_growth_mb", None, "<=", 1, None),
]


def _figures(run, row):
    lines = []
    for metric, (heading, form) in METRICS.items():
        held = {n: m[metric] for n, m in run.samples[row].items() if metric in m}
        if not held:
            continue
        lines.append(f"  {heading:44} {'median':>9} {'min':>9} {'max':>9}")
        for name, values in held.items():
            cells = [form.format(x) for x in c.spread(values)]
            lines.append(f"    {name:42} {cells[0]:>9} {cells[1]:>9} {cells[2]:>9}")
    return lines


def _best(run, row, metric, names, direction):
    """The strongest of the named contenders by median; None when none was measured."""
    held = {n: run.samples[row][n][metric] for n in names
            if metric in run.samples.get(row, {}).get(n, {})}
    if not held:
        return None
    pick = max if direction == ">=" else min
    return pick(held, key=lambda n: c.spread(held[n])[0])


def _judged(run, row):
    """Our name in a row: the crowded device where there is one."""
    names = [n for n in run.samples.get(row, {}) if n.startswith("culvert")]
    return max(names, key=len, default="culvert")


def verdicts(run):
    """One entry per target that this run can judge."""
    found = []
    for row, metric, names, direction, must, aim in TARGETS:
        us = _judged(run, row)
        ours = run.samples.get(row, {}).get(us, {}).get(metric)
        rival = _best(run, row, metric, names, direction) if names else ALONE
        if not ours or not rival:
            continue
        values = c.ratios(ours, run.samples[row][rival][metric]) if names else ours
        if not values:
            continue
        median, low, high = c.spread(values)
        reached = (lambda t: median >= t if direction == ">=" else median <= t)
        found.append({"row": row, "metric": metric, "against": rival, "ratio": median, "min": low,
                      "max": high, "direction": direction, "must": must, "aim": aim,
                      "verdict": "aim" if aim is not None and reached(aim) else
                                 "must" if reached(must) else "SHORT"})
    return found


def against(verdict):
    return "by itself" if verdict["against"] == ALONE else f"÷ {verdict['against']}"


def table(run):
    lines = ["", describe(run)]
    for row in run.samples:
        lines += ["", row, *_figures(run, row)]
    judged = verdicts(run)
    if judged:
        lines += ["", "against the targets (ratio of each round, then median)"]
    for v in judged:
        lines.append(f"  {v['row']:10} {v['metric']:18} {against(v):23} {v['ratio']:8.3f} "
                     f"[{v['min']:.3f} {v['max']:.3f}]  must {v['direction']} {v['must']} "
                     f"aim {v['aim']}  {v['verdict']}")
    return "\n".join(lines + [f"note: {n}" for n in run.notes])


def _cell(run, row, name, metric):
    values = run.samples[row].get(name, {}).get(metric)
    if not values:
        return ""
    form = METRICS[metric][1]
    median, low, high = c.spread(values)
    return form.format(median) if len(values) == 1 else (
        f"{form.format(median)} ({form.format(low)}–{form.format(high)})")


def markdown(run):
    """The same as table(), for a file that people read: median (least–greatest)."""
    versions = "; ".join(f"{k}: {v}" for k, v in _versions(run).items())
    lines = ["# Results", "", f"{datetime.date.today()}, {describe(run)}. {versions}.", "",
             "Median (least–greatest) over the rounds; README.md says what each row is. Written by "
             "`bench/run --markdown`.", ""]
    judged = verdicts(run)
    if judged:
        lines += ["## Against the targets", "", "| row | figure | against | ratio | must | aim | reached |",
                  "|---|---|---|---|---|---|---|"]
    for v in judged:
        aim = "" if v["aim"] is None else f"{v['direction']} {v['aim']}"
        lines.append(f"| {v['row']} | {METRICS[v['metric']][0]} | {against(v)} | {v['ratio']:.3g} "
                     f"({v['min']:.3g}–{v['max']:.3g}) | {v['direction']} {v['must']} | {aim} | {v['verdict']} |")
    for row, held in run.samples.items():
        names = list(held)
        lines += ["", f"## {row}", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for metric, (heading, _) in METRICS.items():
            cells = [_cell(run, row, name, metric) for name in names]
            if any(cells):
                lines.append(f"| {heading} | " + " | ".join(cells) + " |")
    lines += [""] + [f"Note: {n}." for n in run.notes]
    return "\n".join(lines).rstrip() + "\n"


def _version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "?"


def _versions(run):
    rivals = os.path.dirname(c.tunnel.RIVALS)
    found = {}
    for name in run.options.devices:
        if name == "wireguard-go-current":
            found[name] = _version(["cat", os.path.join(rivals, name + ".version")])
        elif name != c.RAW:
            found[name] = _version([c.tunnel.CONTENDERS[name]()[0], "--version"])
    found["commit"] = _version(["git", "-C", c.ROOT, "describe", "--always", "--dirty"])
    return found


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "?")
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release()}


def describe(run):
    m = machine()
    mode = "veth without UDP GSO" if run.options.no_gso else "veth with GSO"
    return (f"{m['processor']}, {m['cores']} cores, kernel {m['kernel']}; {mode}; tunnel MTU "
            f"{run.options.mtu}; {run.options.pairs} rounds")


def save(run):
    options = {k: v for k, v in vars(run.options).items() if k not in ("json", "markdown", "udpgen", "hsflood")}
    path = run.options.json or os.path.join(
        c.ROOT, "bench", "results", datetime.datetime.now().strftime("%Y-%m-%dT%H%M%S") + ".json")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as f:
        json.dump({"machine": machine(), "versions": _versions(run), "options": options,
                   "samples": run.samples, "verdicts": verdicts(run), "notes": run.notes}, f, indent=1)
        f.write("\n")
    print(f"\nfigures: {os.path.relpath(path)}")
    if run.options.markdown:
        with open(run.options.markdown, "w") as f:
            f.write(markdown(run))
