//go:build otlp

package observe

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Export returns a tracer that sends spans to a collector by OTLP over HTTP,
// and what ends it, within its context. OpenTelemetry's own variables say where
// and how: OTEL_EXPORTER_OTLP_ENDPOINT, without which there is none (nil), and
// the others of its specification.
func Export(ctx context.Context, version string, log *slog.Logger) (trace.Tracer, func(context.Context) error, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot export traces to OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	of, err := resource.New(ctx, resource.WithFromEnv(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "kuryr"), attribute.String("service.version", version)))
	if err != nil {
		log.Warn("traces do not tell all of their origin", Err, err)
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(of))
	return p.Tracer("kuryr"), p.Shutdown, nil
}
