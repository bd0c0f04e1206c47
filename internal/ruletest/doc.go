// Package ruletest runs unit tests of rules, written in the file format of `promtool test rules`, on tocsin's own rule
// model and evaluation loop, and reports what was expected and what came.
//
// A file passes here exactly when it passes under promtool (v0.315.0). What differs is deliberate and small:
//   - rule files of every dialect that package rule knows can be tested, not Prometheus's alone;
//   - groups that group_eval_order does not order run in the order of their files, where promtool's order is chance;
//   - expressions run with the dialect of Options.Compiler. promtool's test engine knows neither duration expressions nor
//     experimental functions, though its loader takes them, so that rules which use them cannot be tested there;
//   - the template functions externalURL and pathPrefix work; under promtool they panic into an error text.
//
// Every test case has a storage and rule state of its own; nothing is shared between cases but parsed, immutable rules.
//
// It must not know configuration, notifications, HTTP or the command line: options come in, a Report goes out.
// The format is documented at https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/.
package ruletest
