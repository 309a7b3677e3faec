package main

import (
	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli/archivecli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/kafka"
	"github.com/57528e99/recount/delivery/nats"
	"github.com/57528e99/recount/delivery/rabbitmq"
)

// targets are those that are packages of their own.
func targets() map[string]func(*app.Service, delivery.Definition) (delivery.Target, error) {
	return map[string]func(*app.Service, delivery.Definition) (delivery.Target, error){
		delivery.KindGather:  app.Gather,
		delivery.KindArchive: archivecli.Target,
		delivery.KindNATS: func(s *app.Service, d delivery.Definition) (delivery.Target, error) {
			return nats.New(d, s.TargetDialer())
		},
		delivery.KindKafka: func(s *app.Service, d delivery.Definition) (delivery.Target, error) {
			return kafka.New(d, s.TargetDialer())
		},
		delivery.KindRabbitMQ: func(s *app.Service, d delivery.Definition) (delivery.Target, error) {
			return rabbitmq.New(d, s.TargetDialer())
		},
	}
}
