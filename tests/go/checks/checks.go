// Package checks runs checks, reports each as a line of JSON, and asks the test harness to restart the broker.
package checks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"time"

	"github.com/hashicorp/go-uuid"
)

// T0 is 2024-01-01T00:00:00Z in milliseconds.
const T0 = int64(1704067200000)

// Check is one thing to show; it passes unless it panics.
type Check struct {
	Name string
	Run  func()
}

var input = bufio.NewReader(os.Stdin)

func report(said map[string]any) {
	line, err := json.Marshal(said)
	Must(err)
	fmt.Println(string(line))
}

// RunAll runs those of the names on the command line, or all.
func RunAll(all []Check) {
	for _, check := range all {
		if len(os.Args) > 2 && !slices.Contains(os.Args[2:], check.Name) {
			continue
		}
		began := time.Now()
		report(outcome(check))
		fmt.Fprintf(os.Stderr, "%s: %v\n", check.Name, time.Since(began))
	}
}

func outcome(check Check) (said map[string]any) {
	defer func() {
		if failure := recover(); failure != nil {
			detail := fmt.Sprintf("%v\n%s", failure, debug.Stack())
			said = map[string]any{"check": check.Name, "ok": false, "detail": detail}
		}
	}()
	check.Run()
	return map[string]any{"check": check.Name, "ok": true}
}

// RestartBroker has the broker ended by "kill" (SIGKILL) or "terminate" (SIGTERM) and started again.
func RestartBroker(how string) {
	report(map[string]any{"control": how})
	line, err := input.ReadString('\n')
	Must(err)
	Equal(line, "restarted\n", "the harness's answer")
}

// Unique is a name that nobody else uses.
func Unique(prefix string) string {
	id, err := uuid.GenerateUUID()
	Must(err)
	return prefix + "-" + id
}

// Must fails the check on an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Get is the value, unless there is an error.
func Get[T any](value T, err error) T {
	Must(err)
	return value
}

// Equal fails the check when actual is not as expected.
func Equal(actual, expected any, what string) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%s: %#v, expected %#v", what, actual, expected))
	}
}

// That fails the check when a condition does not hold.
func That(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

// Until calls a condition, which itself waits a little for news, until it holds.
func Until(what string, condition func() bool) {
	deadline := time.Now().Add(90 * time.Second)
	for !condition() {
		That(time.Now().Before(deadline), "not in time: "+what)
	}
}
