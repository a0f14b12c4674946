"""Command line of the demo, ``python -m city_demo up|report|down``; ``make demo`` and ``make demo-down`` call it."""

import argparse
import os
import subprocess
import sys

from city_demo import steps
from city_demo.targets import DemoError, ExistingTarget, LocalTarget, choose_target


def _up(target: LocalTarget | ExistingTarget) -> None:
    progress = steps.Progress(total=7)
    progress.step("Kubernetes", target.prepare)
    progress.step("Images", target.provide_images)
    progress.step("Simulated cameras", lambda: steps.apply_simulator(target))
    progress.step("Operator, by Helm", lambda: steps.install_operator(target))
    progress.step("13 categories, 13 groups, 26 cameras", lambda: steps.apply_city(target))
    progress.step("Prometheus", lambda: steps.apply_prometheus(target))

    def settle() -> None:
        states = steps.wait_until_settled(target, steps.CITY, steps.StatusLine())
        steps.wait_for_metrics(target, states.total())

    progress.step("Waiting until every camera works or has shown its fault", settle)
    sys.stdout.write(f"\nThe city is up after {progress.total_seconds():.0f} s.\n\n")
    _report(target)
    _next_steps(target)


def _report(target: LocalTarget | ExistingTarget) -> None:
    sys.stdout.flush()
    context = ["--context", target.context] if isinstance(target, ExistingTarget) and target.context else []
    command = [sys.executable, "-m", "camera_operator", "report", "--kubeconfig", str(target.kubeconfig), *context]
    if subprocess.run(command, check=False).returncode != 0:
        raise DemoError("the report failed; the reason stands above")


def _next_steps(target: LocalTarget | ExistingTarget) -> None:
    kubectl = target.kubectl_hint
    down = "make demo-down"
    if isinstance(target, ExistingTarget):
        down += "   (with the same KUBECONFIG and IMAGE_REGISTRY)"
    sys.stdout.write(f"""
What next:
  {kubectl} get cameras -n city                          all cameras, with state, reason and since
  {kubectl} describe camera state-bank-atm-7 -n city     why, and what to check first
  {kubectl} -n city patch secret state-bank-credentials --type merge \\
      -p '{{"stringData":{{"password":"demo-camera-password"}}}}'   the bank's camera gets its new password
  {kubectl} -n city-monitoring port-forward svc/prometheus 9090   then open http://localhost:9090
  .venv/bin/camera-operator report --kubeconfig {target.kubeconfig}
  {down}
""")


def _down(target: LocalTarget | ExistingTarget) -> None:
    if isinstance(target, LocalTarget):
        target.down()
        return
    for namespace in ("city", "city-simulator", "city-monitoring"):
        target.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
    target.kubectl("delete", "-f", str(steps.CATEGORIES), "--ignore-not-found")
    target.helm("uninstall", steps.RELEASE, "--namespace", steps.NAMESPACE, "--ignore-not-found")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command of the demo; 1 with a reason on standard error when it cannot."""
    parser = argparse.ArgumentParser(
        prog="city_demo",
        description="A city of 26 simulated cameras on a real Kubernetes, watched by the operator.",
        epilog="Without KUBECONFIG and --context the local cluster of deploy/local is used (needs root).",
    )
    parser.add_argument("command", choices=("up", "report", "down"), help="what to do")
    parser.add_argument("--context", default=os.environ.get("CONTEXT"), help="context of an existing cluster (CONTEXT)")
    parser.add_argument(
        "--registry",
        default=os.environ.get("IMAGE_REGISTRY"),
        help="where an existing cluster's nodes pull the images from (IMAGE_REGISTRY)",
    )
    parser.add_argument(
        "--image-tag", default=os.environ.get("IMAGE_TAG"), help="their tag, default latest (IMAGE_TAG)"
    )
    options = parser.parse_args(arguments)
    actions = {"up": _up, "report": _report, "down": _down}
    try:
        target = choose_target(
            kubeconfig=os.environ.get("KUBECONFIG"),
            context=options.context,
            registry=options.registry,
            image_tag=options.image_tag,
        )
        actions[options.command](target)
    except DemoError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted; run it again to go on, or `make demo-down`\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
