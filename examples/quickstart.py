from hivefeedback import Feedback, FeedbackLoop, Run

rates = {"small": 0.6, "large": 0.9}
with FeedbackLoop(store="memory://", deployments=rates, seed=7, clock=lambda: 1.7e9) as loop:
    for i in range(300):
        decision = loop.decide("text-to-text/support")
        name = decision.deployment or "large"
        run_id = loop.record(Run(name, "text-to-text/support", "ok", 0.4, decision_id=decision.decision_id))
        loop.feedback(Feedback("success", i * 7 % 10 < 10 * rates[name], run_id=run_id))
    for row in loop.stats():
        print(f"{row.deployment:6} {row.n_runs:4} runs  quality {row.quality:.2f}")
