package main

import (
	"fmt"
	"io"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/dustin/go-humanize"
)

// redrawEvery is how often what is redrawn in place may change, at most: an eye sees no more.
const redrawEvery = 100 * time.Millisecond

// progress shows at the bottom of a terminal how far a run has come: a bar where it has an end, how
// many, how fast and how long it will still take. A nil progress shows nothing.
type progress struct {
	line  *bottomLine
	total int // 0 is without end
	bar   *pb.ProgressBar
	drawn time.Time
}

func newProgress(line *bottomLine, total int) *progress {
	template := `{{string . "count"}} {{bar . "[" "=" ">" " " "]"}} {{speed . "%s/s" "-/s"}} {{rtime . "%s left" "" "- left"}}{{string . "failed"}}`
	if total == 0 {
		template = `{{string . "count"}} {{speed . "%s/s" "-/s"}}{{string . "failed"}}`
	}
	// The bar only makes the text. What it would draw by itself can't be printed above.
	bar := pb.New(total).SetWriter(io.Discard).SetTemplateString(template)
	p := &progress{line: line, total: total, bar: bar}
	p.update(0, 0)
	return p
}

// update shows how many are acknowledged and how many have failed, if it is time to.
func (p *progress) update(acknowledged, failed int) {
	if p == nil || time.Since(p.drawn) < redrawEvery {
		return
	}
	p.drawn = time.Now()
	done := acknowledged + failed
	count := humanize.Comma(int64(done))
	if p.total == 0 {
		count += " records"
	} else {
		count += fmt.Sprintf(" of %s (%d%%)", humanize.Comma(int64(p.total)), 100*int64(done)/int64(p.total))
	}
	p.bar.Set("count", count)
	if failed > 0 {
		p.bar.Set("failed", ", "+humanize.Comma(int64(failed))+" failed")
	}
	p.bar.SetCurrent(int64(done))
	columns := p.line.columns()
	p.line.draw(fit(p.bar.SetWidth(columns).String(), columns))
}

// clear takes the bar away until the next update, so that something can be printed.
func (p *progress) clear() {
	if p != nil {
		p.line.clear()
		p.drawn = time.Time{}
	}
}
