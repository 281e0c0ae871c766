package judge

// place is where a record was.
type place struct {
	partition int32
	offset    int64
}

// deadLetters are what was found in the dead-letter topic.
type deadLetters struct {
	expected bool
	seen     map[place]bool
	repeats  int64
}

// ExpectDeadLetters makes a bad record that has no dead letter a finding.
func (j *Judge) ExpectDeadLetters() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead.expected = true
}

// DeadLettered notes a dead letter by what it says about its origin, with the sum of its own bytes,
// those that its origin had. All bad records are acknowledged before.
func (j *Judge) DeadLettered(partition int32, offset int64, sum uint64) {
	origin := j.ledger.look(partition, offset, sum)
	found := Finding{Subscriber: "dead letters", Partition: partition, Offset: offset}
	switch {
	case origin.kind() != Bad:
		found.Fault = DeadWrongly
	case !origin.is(sum):
		found.Fault = DeadAltered
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if found.Fault != "" {
		j.findings.add(found)
	}
	at := place{partition, offset}
	if j.dead.seen == nil {
		j.dead.seen = map[place]bool{}
	}
	if j.dead.seen[at] {
		j.dead.repeats++
	}
	j.dead.seen[at] = true
}

// DeadLetters is how many bad records have a dead letter, and how many letters were repeats.
func (j *Judge) DeadLetters() (records, repeats int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(len(j.dead.seen)), j.dead.repeats
}

// missingLetters adds the bad records that have none.
func (j *Judge) missingLetters(f *findings) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.dead.expected {
		return
	}
	j.ledger.mu.RLock()
	defer j.ledger.mu.RUnlock()
	for p := range j.ledger.parts {
		for o, r := range j.ledger.parts[p].records {
			if at := (place{int32(p), int64(o)}); r.kind() == Bad && !j.dead.seen[at] {
				f.add(Finding{Fault: NotDeadLettered, Subscriber: "dead letters", Partition: at.partition, Offset: at.offset})
			}
		}
	}
}
