package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"paystream/consumer"
)

func (p *program) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at bad records, and send them back",
		Long: `Look at the records that are no payments, which the gateway keeps in the topic KAFKA_TOPIC.dlq, and
send them back to the topic after a fix. A record is named by its origin, PARTITION:OFFSET in the
topic that it came from.

` + exitCodesHelp,
		Example: `  paystream dlq list
  paystream dlq show 0:42
  paystream dlq replay --dry-run
  paystream dlq replay 0:42 --value-file=repaired.json`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.dlqListCommand(), p.dlqShowCommand(), p.dlqReplayCommand())
	return cmd
}

// dlqFlags are the settings of the commands about dead letters.
func (p *program) dlqFlags(cmd *cobra.Command) func() (*Config, error) {
	return p.configFlags(cmd, only(keys(), append(connectionKeys(), "KAFKA_TOPIC", "KAFKA_MAX_RECORD_BYTES", "AMOUNT_UNITS")...))
}

// deadLetters calls do with the dead letters that cfg leads to.
func (p *program) deadLetters(cfg *Config, do func(*consumer.DeadLetters) error) (err error) {
	p.printWarnings(cfg)
	letters, err := consumer.OpenDeadLetters(consumer.Config{
		Kafka: cfg.Kafka, Topic: cfg.Topic, MaxRecordBytes: int(cfg.MaxRecordBytes), Units: cfg.AmountUnits,
	})
	if err != nil {
		return badUsage(err)
	}
	defer letters.Close()
	return kafkaError(do(letters))
}

// each is Each, but that no topic is no dead letter.
func each(ctx context.Context, letters *consumer.DeadLetters, do func(*consumer.DeadLetter) error) error {
	if err := letters.Each(ctx, do); !errors.Is(err, consumer.ErrNoDeadLetters) {
		return err
	}
	return nil
}

// recordPlace is a partition and an offset.
type recordPlace struct {
	partition int32
	offset    int64
}

func placeOf(d *consumer.DeadLetter) recordPlace {
	return recordPlace{d.Origin.Partition, d.Origin.Offset}
}

func parsePlaces(args []string) ([]recordPlace, error) {
	places := make([]recordPlace, len(args))
	for i, arg := range args {
		partition, offset, ok := strings.Cut(arg, ":")
		p, err1 := strconv.ParseInt(partition, 10, 32)
		o, err2 := strconv.ParseInt(offset, 10, 64)
		if !ok || err1 != nil || err2 != nil || p < 0 || o < 0 {
			return nil, fmt.Errorf("%q is not PARTITION:OFFSET, as in 0:42", arg)
		}
		places[i] = recordPlace{int32(p), o}
	}
	return places, nil
}
