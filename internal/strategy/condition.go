package strategy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// Condition is a compiled CEL expression of type bool. It is made by Load.
type Condition struct {
	Text    string
	Line    int
	names   []string // the variables that it looks at, in the order of the table
	program cel.Program
}

// Holds works the condition out.
func (c *Condition) Holds(v *Vars) (bool, error) {
	out, _, err := c.program.Eval(v)
	if err != nil {
		return false, fmt.Errorf("condition in line %d: %w", c.Line, err)
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("condition in line %d: got %s, want bool", c.Line, out.Type().TypeName())
	}
	return bool(b), nil
}

// Uses reports whether the condition looks at the variable.
func (c *Condition) Uses(name string) bool { return slices.Contains(c.names, name) }

// Value is a variable that a condition looked at, with what it was, as CEL writes it.
type Value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values returns what the condition looks at. The values may be personal: amounts are among them.
func (c *Condition) Values(v *Vars) []Value {
	out := make([]Value, 0, len(c.names))
	for _, name := range c.names {
		var s string
		switch x := variableAt[name].value(v).(type) {
		case types.String:
			s = fmt.Sprintf("%q", string(x))
		case types.Int:
			s = fmt.Sprint(int64(x))
		case types.Bool:
			s = fmt.Sprint(bool(x))
		case []string:
			s = fmt.Sprintf("%q", x)
		}
		out = append(out, Value{Name: name, Value: s})
	}
	return out
}

// Sizes that the worst cost of a condition is reckoned with.
const (
	maxFlags    = 64
	maxTextSize = 256
)

// environment returns what conditions are checked against: every variable, or those of applies_to. Making one takes
// longer than checking a strategy against it.
var environment = struct{ all, applies func() (*cel.Env, error) }{
	all:     sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(false) }),
	applies: sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(true) }),
}

func newEnvironment(appliesOnly bool) (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(MaxCondition), cel.ParserRecursionLimit(50), cel.RegexProgramSizeLimit(1000),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for i := range variables {
		if v := &variables[i]; v.Applies || !appliesOnly {
			opts = append(opts, cel.Variable(v.Name, v.typ))
		}
	}
	return cel.NewEnv(opts...)
}

// fault is what is wrong with a condition, at a line (from 0) and column (from 0) of its own text.
type fault struct {
	line, column  int
	message, hint string
}

// compile checks text and makes it ready to run.
func compile(text string, line int, appliesOnly bool) (*Condition, []fault) {
	load := environment.all
	if appliesOnly {
		load = environment.applies
	}
	env, err := load()
	if err != nil {
		return nil, []fault{{message: "conditions cannot be checked: " + err.Error()}}
	}
	if n := len([]rune(text)); n > MaxCondition {
		return nil, []fault{{message: fmt.Sprintf("the condition has %d characters", n), hint: fmt.Sprintf("at most %d", MaxCondition)}}
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, faults(issues, appliesOnly)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, []fault{{
			message: fmt.Sprintf("the condition is of type %s, not bool", ast.OutputType()), hint: `compare it with something, such as tier == "A"`,
		}}
	}
	worst, err := env.EstimateCost(ast, sizes{})
	if err != nil || worst.Max > MaxCost {
		return nil, []fault{{message: "the condition may take too long", hint: "take out loops within loops and long regular expressions"}}
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, []fault{{message: "the condition cannot be run: " + err.Error()}}
	}
	return &Condition{Text: text, Line: line, names: namesIn(ast), program: program}, nil
}

// faults puts the checker's issues in words that help.
func faults(issues *cel.Issues, appliesOnly bool) []fault {
	var out []fault
	for _, e := range issues.Errors() {
		f := fault{line: e.Location.Line() - 1, column: e.Location.Column(), message: strings.TrimSuffix(e.Message, " (in container '')")}
		f.message, _, _ = strings.Cut(f.message, "\n")
		if f.line < 0 {
			f.line, f.column = 0, 0
		}
		if name, ok := strings.CutPrefix(f.message, "undeclared reference to "); ok {
			f.message = "there is no variable or function " + name
			f.hint = "the variables are " + strings.Join(names(appliesOnly), ", ")
			if v := variableAt[strings.Trim(name, "'")]; v != nil {
				f.message = "applies_to cannot look at " + name
				f.hint = "it changes from day to day; applies_to may look at " + strings.Join(names(true), ", ")
			}
		} else if strings.HasPrefix(f.message, "found no matching overload") {
			f.hint = "the types do not fit together; `duly strategy variables` lists them"
		}
		out = append(out, f)
	}
	return out
}

func names(appliesOnly bool) []string {
	var out []string
	for i := range variables {
		if variables[i].Applies || !appliesOnly {
			out = append(out, variables[i].Name)
		}
	}
	return out
}

// namesIn lists the variables that the expression looks at, in the order of the table.
func namesIn(ast *cel.Ast) []string {
	seen := map[string]bool{}
	celast.PostOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() == celast.IdentKind {
			seen[e.AsIdent()] = true
		}
	}))
	var out []string
	for i := range variables {
		if seen[variables[i].Name] {
			out = append(out, variables[i].Name)
		}
	}
	return out
}

// sizes tells the reckoning of costs how large variables can be.
type sizes struct{}

// EstimateSize returns the bounds of a variable's size.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch n.Type().Kind() {
	case types.ListKind:
		return &cost.SizeEstimate{Max: maxFlags, Elem: &cost.SizeEstimate{Max: maxTextSize}}
	case types.StringKind, types.BytesKind:
		return &cost.SizeEstimate{Max: maxTextSize}
	default:
		return &cost.SizeEstimate{Max: math.MaxInt16}
	}
}

// EstimateCallCost leaves calls at their own costs.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
