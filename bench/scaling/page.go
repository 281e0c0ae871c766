package scaling

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"paystream/bench/report"
)

// block is where a table stands in the page.
var block = regexp.MustCompile(`(?s)(<!-- table: (\w+) -->\n).*?(<!-- end -->\n)`)

// Update writes the tables of a file of results into a file that holds the page.
func Update(page, results string) error {
	r, err := Read(results)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(page) //nolint:gosec // the page in the sources
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	filled, err := Fill(string(b), r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, []byte(filled), 0o644); err != nil { //nolint:gosec // as the other sources
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// Read reads what bench -json has written.
func Read(results string) (*report.Results, error) {
	b, err := os.ReadFile(results) //nolint:gosec // the file that was asked for
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	var r report.Results
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read the results: %s: %w", results, err)
	}
	return &r, nil
}

// Fill returns the page with the tables of the results between its markers. Each table must be in it.
func Fill(page string, r *report.Results) (string, error) {
	tables, err := Tables(r)
	if err != nil {
		return "", err
	}
	var unknown []string
	filled := block.ReplaceAllStringFunc(page, func(found string) string {
		part := block.FindStringSubmatch(found)
		text, ok := tables[part[2]]
		if !ok {
			unknown = append(unknown, part[2])
		}
		delete(tables, part[2])
		return part[1] + "\n" + text + "\n" + part[3]
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("the page has tables that there are none of, or twice: %s", strings.Join(unknown, ", "))
	}
	if len(tables) > 0 {
		return "", fmt.Errorf("the page has no place for: %s", strings.Join(slices.Sorted(maps.Keys(tables)), ", "))
	}
	return filled, nil
}
